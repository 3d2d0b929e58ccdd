"""What the help of a window says of its keys."""

KEYS = """\
Enter runs the code if it is complete, Ctrl-Enter in any case; Shift-Enter or Alt-Enter only begins a new line.
Tab completes. Up and Down lead to earlier code, Ctrl-R searches it. The mouse on a name shows what it is.
Ctrl-C copies what is selected; else it gives up the line, stops waiting, or offers to interrupt what runs.
Ctrl-D or closing the window leaves; the kernel stays. Ctrl-L empties the transcript.
A double click on a variable opens it. F1 shows this."""
