"""What must outlive a crash, on disk: durable lines, the used-file, and receipts. The only files that a session touches."""
