"""Broken promises of what stands on the system: the ring, folders, memory and processes."""

from tests.mutants import Mutant

_RING = "system/test_ring.py::"

MUTANTS = (
    Mutant(
        promise="damage to the ring is noticed",
        file="system/ring.py",
        before="if adler32(data, word + execution + _SALT) != check:",
        after="if False:",
        tests=(f"{_RING}test_damage_is_told_after_what_stood_before_it_and_reading_goes_on",),
    ),
    Mutant(
        promise="the writer does not overrun what was not released",
        file="system/ring.py",
        before="while head + pad + size > self.words[WORD_TAIL] + self._capacity:",
        after="while head + pad + size > self.words[WORD_TAIL] + 2 * self._capacity:",
        tests=(f"{_RING}test_what_is_read_makes_no_room_before_it_is_released",),
    ),
    Mutant(
        promise="what was read and not released is read again by the next hub",
        file="system/ring.py",
        before="max(position or 0, self.words[WORD_TAIL])",
        after="max(position or 0, self.words[WORD_HEAD])",
        tests=(f"{_RING}test_what_is_read_but_not_released_is_read_again_by_the_next_reader",),
    ),
    Mutant(
        promise="what a finalizer prints in the middle of a frame is not lost",
        file="system/ring.py",
        before="self._deferred.append((kind, execution, data))",
        after="pass",
        tests=(f"{_RING}test_what_a_finalizer_prints_in_the_middle_of_a_frame_follows_it",),
    ),
    Mutant(
        promise="an event that must not be lost waits through interrupts",
        file="system/ring.py",
        before="            if may_interrupt:\n                self._check_interrupt()",
        after="            self._check_interrupt()",
        tests=(f"{_RING}test_a_frame_that_must_not_be_lost_waits_through_interrupts",),
    ),
    Mutant(
        promise="a consumer does not sleep on what came meanwhile",
        file="system/ring.py",
        before="return state == AWAKE or not self.has_frames",
        after="return True",
        tests=(f"{_RING}test_a_consumer_must_not_sleep_on_what_came_meanwhile",),
    ),
    Mutant(
        promise="the ring's room is reserved, so that a full disk kills no worker",
        file="system/ring.py",
        before="os.posix_fallocate(fd, 0, size)",
        after="os.ftruncate(fd, size)",
        tests=(f"{_RING}test_a_ring_is_private_and_has_its_room_reserved",),
    ),
    Mutant(
        promise="an exception in the middle of a frame does not silence the ring",
        file="system/ring.py",
        before="            finally:\n                self._is_writing = False",
        after="            finally:\n                pass\n            self._is_writing = False",
        tests=(f"{_RING}test_an_exception_in_the_middle_of_a_frame_does_not_silence_the_ring",),
    ),
    Mutant(
        promise="unix sockets are the user's alone",
        file="system/runtime_folder.py",
        before="os.chmod(path, 0o600)",
        after="os.chmod(path, 0o666)",
        tests=("system/test_kernel_folder.py::test_sockets_and_spills_are_private_whatever_the_umask",),
    ),
    Mutant(
        promise="a folder that others made is not taken for ours",
        file="system/runtime_folder.py",
        before="found.st_uid != os.getuid()",
        after="found.st_uid < 0",
        tests=("system/test_runtime_folder.py::test_a_folder_above_that_somebody_else_made_is_refused",),
    ),
    Mutant(
        promise="a path too long for a socket is refused before anything is made",
        file="system/runtime_folder.py",
        before="if len(os.fsencode(longest)) > _MAX_SOCKET_PATH:",
        after="if False:",
        tests=("system/test_runtime_folder.py::test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made",),
    ),
    Mutant(
        promise="files of a kernel's folder that others could read are closed",
        file="system/kernel_folder.py",
        before="if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode):",
        after="if False:",
        tests=("system/test_kernel_folder.py::test_files_that_others_could_read_are_closed",),
    ),
    Mutant(
        promise="a lock on a file that was removed keeps nobody out",
        file="system/kernel_folder.py",
        before="is_ours = self._stands_here(fd)",
        after="is_ours = True",
        tests=("system/test_runtime_folder.py::test_a_lock_whose_file_is_removed_while_it_is_taken_is_taken_anew",),
    ),
    Mutant(
        promise="shared memory that its sender could shorten is refused",
        file="system/shared_memory.py",
        before="if seals & _SEALS != _SEALS or size != length:",
        after="if size != length:",
        tests=("system/test_shared_memory.py::test_memory_that_could_still_be_shortened_is_refused",),
    ),
    Mutant(
        promise="shared memory of another length is refused",
        file="system/shared_memory.py",
        before="if seals & _SEALS != _SEALS or size != length:",
        after="if seals & _SEALS != _SEALS:",
        tests=("system/test_shared_memory.py::test_another_length_than_was_told_is_refused",),
    ),
    Mutant(
        promise="what is written to received memory changes nobody else's",
        file="system/shared_memory.py",
        before="return mmap.mmap(descriptor, length, flags=mmap.MAP_PRIVATE,",
        after="return mmap.mmap(descriptor, length, flags=mmap.MAP_SHARED,",
        tests=("system/test_shared_memory.py::test_writing_to_a_mapping_changes_nobody_elses",),
    ),
    Mutant(
        promise="what was sent before the end is taken before the end",
        file="system/frames.py",
        before="return [message for (message,) in iter(self._take, None)]",
        after="return [message[0] for message in (self._take(),) if message]",
        tests=("system/test_frames.py::test_what_was_sent_before_the_end_is_returned_before_the_end",),
    ),
    Mutant(
        promise="a stack is not shared by those who asked after it began",
        file="system/stacks.py",
        before="self._finish(sharing, text)",
        after="self._finish(asking, text)",
        tests=("system/test_stacks.py::test_a_dump_is_not_shared_by_those_who_came_after_it_began",),
    ),
)
