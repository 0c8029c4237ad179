package deploy

import (
	"context"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programs is a directory with the gateway and its plugins: those without C of `make static`, if they are there, else those of `make build`, which are the same
// where there is no C compiler.
func programs(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("../bin/static/plugins/storage-victoriametrics"); err == nil {
		return "../bin/static"
	}
	needs(t, "plugins", "bin/plugins/storage-victoriametrics", "make build")
	return filepath.Dir(lockkeeper(t))
}

// addLibraries puts what a program loads into the root, where it was built with C, unlike that of the image.
func addLibraries(t *testing.T, program, root string) {
	t.Helper()
	file, err := elf.Open(program)
	require.NoError(t, err)
	static := isStatic(file)
	require.NoError(t, file.Close())
	if static {
		return
	}
	libraries, err := output(t, "ldd", program)
	require.NoError(t, err)
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(libraries, -1) {
		real, err := filepath.EvalSymlinks(library)
		require.NoError(t, err)
		copyFile(t, real, filepath.Join(root, library))
	}
}

func isStatic(program *elf.File) bool {
	for _, header := range program.Progs {
		if header.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// imageRoot puts into a directory what the Dockerfile copies into the image, and what its base, or who runs it, has of what the gateway looks for.
func imageRoot(t *testing.T) string {
	t.Helper()
	programs, root := programs(t), t.TempDir()
	for _, directory := range []string{"etc", "proc", "dev", "tmp", "data"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, directory), 0o755))
	}
	for name, text := range map[string]string{"passwd": "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n", "hosts": "127.0.0.1 localhost\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644))
	}
	for _, i := range stages(t)[2] {
		if i.name != "COPY" {
			continue
		}
		fields := strings.Fields(i.rest)
		from, to := fields[len(fields)-2], filepath.Join(root, fields[len(fields)-1])
		switch {
		case from == "/image/data/":
		case from == "/image/rules/":
			rules, err := filepath.Glob("rules/*.yaml")
			require.NoError(t, err)
			for _, rule := range rules {
				copyFile(t, rule, filepath.Join(to, filepath.Base(rule)))
			}
		case from == "/src/bin/static/":
			plugins, err := filepath.Glob(filepath.Join(programs, "plugins/*"))
			require.NoError(t, err)
			for _, program := range append(plugins, filepath.Join(programs, "lockkeeper")) {
				copyFile(t, program, filepath.Join(to, strings.TrimPrefix(program, programs)))
				addLibraries(t, program, root)
			}
		default:
			copyFile(t, filepath.Join("..", strings.TrimPrefix(from, "/src/")), to)
		}
	}
	return root
}

// copyFile links, where it can: the programs are large.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
		return
	}
	info, err := os.Stat(from)
	require.NoError(t, err)
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, info.Mode().Perm()))
}

// In namespaces of its own: the image's files as a read-only root, its user, a volume, a tmpfs, and the sysctl for pings.
const runImage = `
root=$1
ip link set lo up
echo "65532 65532" > /proc/sys/net/ipv4/ping_group_range
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755,uid=65532,gid=65532 tmpfs "$root/data"
mount -o remount,bind,ro "$root"
inside="env -i PATH=/usr/lib/lockkeeper LOCKKEEPER_DATA=/data /usr/sbin/chroot --userspec=65532:65532 $root" # a temporary directory has no space in its name
$inside /usr/lib/lockkeeper/lockkeeper run --config /etc/lockkeeper/lockkeeper.yaml & gateway=$!
until $inside lockkeeper plugin list; do kill -0 $gateway; sleep 0.3; done
$inside lockkeeper probe run icmp 127.0.0.1
kill -TERM $gateway
wait $gateway
echo ended well
`

func TestImage(t *testing.T) {
	if os.Geteuid() != 0 {
		lacks(t, "network", "needs root: namespaces and mounts")
	}
	root := imageRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	text, err := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ceu", runImage, "sh", root).CombinedOutput()
	require.NoError(t, err, string(text))
	for _, want := range []string{"rules", "victoriametrics", "victorialogs", "Lockkeeper is ready.", "ended well"} {
		require.Contains(t, string(text), want)
	}
	t.Log(string(text))
}
