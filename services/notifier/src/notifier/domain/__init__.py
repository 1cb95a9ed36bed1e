"""What a mail says, whom it may go to, what an SMTP reply means, and how a storm of alerts becomes one mail. Pure."""
