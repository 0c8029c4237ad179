package main

import "syscall"

// endWithParent ends a child when the demo is killed, and keeps Ctrl-C in a terminal for the demo alone, which stops its
// children in order.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
