"""What no service tells by itself: answers put together from many."""
