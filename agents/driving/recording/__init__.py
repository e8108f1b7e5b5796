"""What is kept of a drive: its journal, links, videos, and drives without a display."""
