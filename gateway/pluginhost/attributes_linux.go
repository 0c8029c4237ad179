package pluginhost

import "syscall"

// attributes ends a plugin that does not watch the host's pipe, and keeps Ctrl-C in a terminal for the gateway alone,
// which then stops its plugins in order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
