//go:build !linux

package pluginhost

import "syscall"

// attributes is nothing here: the host's pipe alone tells a plugin that the gateway is gone.
func attributes() *syscall.SysProcAttr {
	return nil
}

// expend is nothing here.
func expend(int) {}
