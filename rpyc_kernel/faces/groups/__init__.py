"""What people see of many kernels that do the same: lines that tell who said them, how far each is, equal ones once."""
