"""Why released features differ from a video's own: settings tried until the released values come out."""
