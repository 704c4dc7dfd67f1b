"""Stands for psutil in the sandbox, where there is no /proc for it to read.

joblib's workers ask psutil for their memory if they can import it, and end if it cannot say.
"""

raise ImportError("psutil reads /proc, and in the sandbox there is none")
