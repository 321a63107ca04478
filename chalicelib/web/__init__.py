"""The HTTP toolkit: cookies, forms, headers, errors, pages. It knows no business."""
