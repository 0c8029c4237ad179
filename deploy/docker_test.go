package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// instruction is one of a Dockerfile: FROM, COPY …, and what follows it.
type instruction struct{ name, rest string }

// stages are the instructions of each stage; the first are those before any.
func stages(t *testing.T) (all [][]instruction) {
	t.Helper()
	all = [][]instruction{nil}
	for line := range strings.Lines(readFile(t, "docker/Dockerfile")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		if name == "FROM" {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], instruction{name, strings.TrimSpace(rest)})
	}
	return all
}

// first is what the first instruction of a name says.
func first(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	for _, i := range stage {
		if i.name == name {
			return i.rest
		}
	}
	t.Fatalf("no %s", name)
	return ""
}

func TestDockerfile(t *testing.T) {
	all := stages(t)
	require.Len(t, all, 3)
	build, image := all[1], all[2]

	// What it is made of is named exactly: the Go of go.mod, and a base that is neither latest nor root's.
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(readFile(t, "../go.mod"))[1]
	require.Equal(t, []instruction{{"ARG", "GO=" + version}, {"ARG", "BASE=gcr.io/distroless/static-debian12:nonroot"}}, all[0])
	require.Equal(t, "--platform=$BUILDPLATFORM golang:${GO}-bookworm AS build", first(t, build, "FROM"))
	require.Equal(t, "${BASE}", first(t, image, "FROM"))

	// It runs as nobody in particular, without a shell, and keeps what it writes in a volume.
	require.Equal(t, "65532:65532", first(t, image, "USER"))
	require.Equal(t, "/data", first(t, image, "VOLUME"))
	for _, name := range []string{"ENTRYPOINT", "CMD"} {
		var words []string
		require.NoError(t, json.Unmarshal([]byte(first(t, image, name)), &words), name)
	}
	for _, stage := range all {
		for _, i := range stage {
			require.NotEqual(t, "ADD", i.name, "COPY says what it takes")
			require.False(t, i.name != "COPY" && regexp.MustCompile(`(?i)secret|password|token`).MatchString(i.rest), i)
		}
	}
	for _, i := range image {
		require.NotEqual(t, "RUN", i.name, "there is no shell")
	}

	// The ports that it names are those of the configuration in it.
	var ports []string
	for _, port := range regexp.MustCompile(`"0\.0\.0\.0:(\d+)"`).FindAllStringSubmatch(readFile(t, "docker/lockkeeper.yaml"), -1) {
		ports = append(ports, port[1])
	}
	require.Equal(t, ports, strings.Fields(first(t, image, "EXPOSE")))
	text, err := output(t, lockkeeper(t), "validate", "--config", "docker/lockkeeper.yaml")
	require.NoError(t, err, text)
}

func TestCompose(t *testing.T) {
	type service struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Command     []string
		Volumes     []string
		Ports       []string
		Environment map[string]string
		NetworkMode string `yaml:"network_mode"`
		User        string
		ReadOnly    bool              `yaml:"read_only"`
		Tmpfs       []string          `yaml:"tmpfs"`
		CapDrop     []string          `yaml:"cap_drop"`
		SecurityOpt []string          `yaml:"security_opt"`
		Sysctls     map[string]string `yaml:"sysctls"`
		Healthcheck struct {
			Test              []string
			Interval, Timeout string
			StartPeriod       string `yaml:"start_period"`
		}
		Restart string
	}
	var file struct {
		Name     string
		Services map[string]service
		Volumes  map[string]struct{}
	}
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, "docker/docker-compose.yaml")))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	require.Len(t, file.Services, 3)
	for name, service := range file.Services {
		require.Regexp(t, `:(v?\d+\.\d+\.\d+|dev\})$`, service.Image, name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, name)
		require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt, name)
		for _, port := range service.Ports {
			require.Regexp(t, `^127\.0\.0\.1:\d+:\d+$`, port, name)
		}
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, named := file.Volumes[from]; !named {
				_, err := os.Stat(filepath.Join("docker", from))
				require.NoError(t, err, name)
				require.True(t, strings.HasSuffix(volume, ":ro"), volume)
			}
		}
	}
	require.FileExists(t, filepath.Join("docker", file.Services["lockkeeper"].Build.Context, file.Services["lockkeeper"].Build.Dockerfile))
}
