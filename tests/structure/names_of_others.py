"""Names that headers of others define as macros, so that no header here may use them: not as a name, and
those in CALLED not before a parenthesis.

Others: Windows, X11, Qt (but for emit, which is a name of Asio's), and the C library's <sys/*.h>.
"""
CALLED = "min max major minor makedev GetMessage SendMessage GetObject CreateWindow Yield".split()

NAMES = """
    ERROR NO_ERROR DELETE IN OUT OPTIONAL TRUE FALSE CONST VOID STRICT IGNORE ABSOLUTE RELATIVE OPAQUE TRANSPARENT
    PASSTHROUGH INFINITE PURE THIS INTERFACE CALLBACK WINAPI APIENTRY PASCAL CDECL FAR NEAR DIFFERENCE DOMAIN
    OVERFLOW UNDERFLOW MAX_PATH MAXDWORD SYNCHRONIZE READ_CONTROL GENERIC_READ ALTERNATE WINDING CREATE_NEW
    small near far pascal cdecl interface hyper rad1 rad2 grp1 grp2
    None Bool Status Success Always Above Below Complex Convex Unsorted Expose KeyPress
    signals slots foreach forever
    unix linux
""".split()
