//go:build !linux

package main

import "syscall"

// endWithParent is Linux's: elsewhere children outlive a demo that is killed.
func endWithParent() *syscall.SysProcAttr { return nil }

// withNetwork is Linux's, too.
func withNetwork(bool) *syscall.SysProcAttr { return nil }
