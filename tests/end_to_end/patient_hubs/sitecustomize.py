"""Has hubs wait for ever where they wait for a moment at their end. In a folder of PYTHONPATH, Python runs it first.

What then ends all the same has told its hub that nothing is to be waited for.
"""

import sys

if "rpyc_kernel.hub" in sys.orig_argv:
    from rpyc_kernel.hub import embedding, server

    embedding._ENDING_S = server._HEARING_S = 3600.0
