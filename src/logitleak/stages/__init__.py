"""The stages of a run: federate, attack, evaluate, report; each can be repeated, and goes on where it stopped."""
