"""Commands about what was found: events, the page, clips, figures for print."""
