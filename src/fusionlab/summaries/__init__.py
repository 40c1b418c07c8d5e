"""What an arm is before it is trained: text, JSON, drawing, costs, memory."""
