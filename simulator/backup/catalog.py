"""Error codes of asynchronous steps with their numbers and texts, as recorded or documented.

Sources: report §2.2 and facts §2.2, §2.3 (numbers seen in job details or health details). A code
with number 0 was never seen with one; a job then shows an errorTitle under that number.
"""

from collections.abc import Iterable

from simulator.backup.records import Failure

_NO_VM = (
    "Stop protecting virtual machine without deleting backup data. "
    "More details at http://go.microsoft.com/fwlink/?LinkId=808124 "
)


def _index(failures: Iterable[Failure]) -> dict[str, Failure]:
    return {failure.code: failure for failure in failures}


FAILURES = _index(
    Failure(code=code, number=number, message=message, recommendations=recommendations)
    for code, number, message, recommendations in (
        (
            "UserErrorGuestAgentStatusUnavailable",
            400196,
            "VM agent is unable to communicate with the Azure Backup Service.",
            ("Ensure the VM has network connectivity and the VM agent is latest and running.",),
        ),
        (
            "UserErrorVmNotFoundV2",
            400136,
            "Virtual machine doesn't exist.",
            (
                (
                    "Please make sure that virtual machine exists or select a different virtual "
                    "machine. For more details, please refer to "
                    "http://aka.ms/UserErrorVmNotFoundV2"
                ),
            ),
        ),
        (
            "ResourceNotFound",
            320001,
            "Could not perform the operation as VM no longer exists.",
            (_NO_VM,),
        ),
        ("UserErrorGenericResourceNotFound", 400309, "Azure resource does not exist.", ()),
        ("UserErrorJobSuccessfullyCancelled", 400158, "Job is cancelled.", ()),
        (
            "UserErrorVmVaultLocationMismatch",
            400175,
            "Virtual machine and vault are in different region",
            ("Select a virtual machine in the region of the vault.",),
        ),
        (
            "UserErrorProtectionQuotaExceeded",
            0,
            "Please create new vault and enable VM protection in new vault",
            (),
        ),
        (
            "UserErrorVmAlreadyRegistered",
            0,
            (
                "Virtual machine is already registered\\registering with another recovery services "
                "vault Please select a different virtual machine for registration."
            ),
            (),
        ),
        ("UserErrorVmNotInDesirableState", 0, "VM is not in a state that allows backups.", ()),
        ("UserErrorVmProvisioningStateFailed", 0, "VM is in Failed Provisioning State", ()),
        (
            "UserErrorMigrationFromTrustedLaunchVMToNonTrustedVMNotAllowed",
            0,
            (
                "Backup cannot be configured for the VM which has migrated from Trusted Launch mode "
                "to non Trusted Launch mode."
            ),
            (),
        ),
        (
            "UserErrorBCMUnsupportedDiskCount",
            0,
            "Number of data disks attached to the virtual machine exceeded the supported limit.",
            (),
        ),
        ("UserErrorUnsupportedDiskSize", 0, "The disk size is not supported by Azure Backup.", ()),
        (
            "UserErrorSharedDiskBackupNotSupported",
            0,
            "Operation failed because the VM has shared disks and this is currently not supported",
            (),
        ),
        (
            "UserErrorUnsupportedStorageType",
            0,
            "The storage type is not supported by Azure Backup.",
            (),
        ),
        ("UserErrorUnsupportedDiskConfiguration", 0, "The disk configuration is not valid.", ()),
        (
            "UserErrorKeyVaultPermissionsNotConfigured",
            400198,
            (
                "Azure Backup Service does not have sufficient permissions to Key Vault for Backup of "
                "Encrypted Virtual Machines."
            ),
            (),
        ),
        (
            "UserErrorRequestDisallowedByPolicy",
            0,
            "An invalid policy is configured on the VM which is preventing Snapshot operation.",
            (),
        ),
        (
            "UserErrorResourceIsInLockedState",
            0,
            "Backup failed due to a lock on virtual machine.",
            (),
        ),
        (
            "UserErrorTrustedLaunchNotSupportedWithStandardPolicy",
            0,
            "Trusted VM can only be protected using Enhanced Policy.",
            (),
        ),
        (
            "BMSUserErrorObjectLocked",
            390026,
            "Another operation is in progress on the selected item.",
            ("Please wait until the operation is completed and then try again.",),
        ),
        (
            "CloudInternalError",
            130001,
            (
                "Microsoft Azure Backup encountered an internal error. Wait for a few minutes and then "
                "try the operation again. If the issue persists, please contact Microsoft support."
            ),
            (),
        ),
        ("BackUpOperationFailed", 400002, "Backup failed with an internal error.", ()),
        ("DiffCopyFailedToTransferData", 400052, "Backup failed to copy data to vault.", ()),
    )
)


def failure(code: str, message: str = "") -> Failure:
    """Look a code up; an unknown one is made as ordered, with number 0."""
    known = FAILURES.get(code)
    if known is None:
        return Failure(code=code, number=0, message=message or code)
    if message:
        return Failure(
            code=code,
            number=known.number,
            message=message,
            recommendations=known.recommendations,
        )
    return known
