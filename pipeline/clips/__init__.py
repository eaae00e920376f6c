"""Events as files: which frames, copied or encoded, contact sheets, a recap, a manifest."""
