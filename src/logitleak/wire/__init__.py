"""What travelled: a transcript, written and read. Attacks know this side and no other."""
