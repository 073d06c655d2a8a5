"""What to do about a finding: one sentence and commands that can be pasted.

One module per subject. Commands are filled in with the VM's own names, quoted for bash and for
PowerShell by `shared.domain.quoting`; what only the reader knows is written in <angle brackets>.
No remedy ever deletes a VM or a recovery point.
"""
