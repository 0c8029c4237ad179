//go:build !linux

package pluginhost

import (
	"os"
	"syscall"
)

// attributes is nothing here: the host's pipe alone tells a plugin that the gateway is gone.
func attributes() *syscall.SysProcAttr {
	return nil
}

// expend is nothing here.
func expend(int) {}

// endGroup is nothing here.
func endGroup(int) {}

// lock is nothing here.
func lock(*os.File) error { return nil }
