"""What each page costs: AWS calls and CPU, beside a floor in the same run."""
