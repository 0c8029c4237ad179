//go:build !linux

package probes

import "errors"

// openEcho has its only implementation on Linux: elsewhere the kernel tells too little of what becomes of a request.
func openEcho(bool) (echoSocket, bool, error) {
	return nil, false, errors.New("icmp probes need Linux")
}
