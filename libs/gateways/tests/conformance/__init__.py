"""What every gateway adapter must do."""
