"""notifier owns the mails that events ask for, who must not be mailed, and the digests of alerts."""
