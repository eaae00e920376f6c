"""`clips`: writes each event as an mp4 file, contact sheets, one recap of all events, and a manifest."""
