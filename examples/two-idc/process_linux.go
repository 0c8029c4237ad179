package main

import (
	"os"
	"syscall"
)

// endWithParent ends a child when the demo is killed, and keeps Ctrl-C in a terminal for the demo alone, which stops its
// children in order.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// withNetwork gives a child a network namespace of its own, too. Whoever is not root must be it in a namespace of users first, if they ask to be.
func withNetwork(asRoot bool) *syscall.SysProcAttr {
	attributes := endWithParent()
	attributes.Cloneflags = syscall.CLONE_NEWNET
	if asRoot && os.Geteuid() != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attributes
}
