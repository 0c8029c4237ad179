//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// room is how many bytes of a file system are free for who is not root, and how many it has.
func room(directory string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(directory, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}
