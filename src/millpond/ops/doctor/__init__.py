"""`millpond doctor`: what is wrong with this installation, and how to mend it.

Every check is an async function that returns findings; a check that cannot
be made because something before it failed says so instead of guessing.
"""

from millpond.ops.doctor.findings import Finding, Level
from millpond.ops.doctor.run import examine

__all__ = ["Finding", "Level", "examine"]
