"""The CloudFormation template: what is written by hand in `pieces/`, and what follows from the program in Python."""
