"""What the commands say of what they did: for people in lines, for machines as JSON."""
