"""What people read: letters in their language, as a card for Teams or as a mail.

`view` turns a letter into plain words, `card` and `mail` lay them out. Texts are in `texts/`.
"""
