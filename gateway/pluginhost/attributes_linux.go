package pluginhost

import (
	"os"
	"strconv"
	"syscall"
)

// attributes ends a plugin that does not watch the host's pipe, and gives it a process group of its own: Ctrl-C in a
// terminal is for the gateway alone, which then stops its plugins in order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// expend has the kernel end a plugin before the gateway when memory runs out. What a system refuses here it refuses: nothing
// depends on it.
func expend(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("500"), 0)
}

// endGroup ends what a plugin that has ended started itself, unless that has left its group.
func endGroup(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// lock fails when another process has the lock. It ends with the process, and with the file.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
