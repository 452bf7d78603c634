"""The workshop: from pictures of faces to a trained, measured and quantised bundle for the box."""
