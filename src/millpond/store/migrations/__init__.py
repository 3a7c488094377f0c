"""The schema's history: hand-written revisions in `versions`, one line of descent."""
