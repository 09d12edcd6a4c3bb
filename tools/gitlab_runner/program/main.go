// GitLab's own runner, with two of its executors: shell and docker.
//
// The main package of GitLab Runner registers all of them. What it needs for that is on no module proxy, so this one
// stands for it, with the commands that people, a runner and its jobs call; in the container that prepares a job it is
// the helper. Modules that the runner imports all the same, and that no proxy has either, are in stubs/: each has what
// the compiler asks for, and ends the program where one of its functions is called.
//
// https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/main.go
package main

import (
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli"

	"gitlab.com/gitlab-org/gitlab-runner/commands"
	"gitlab.com/gitlab-org/gitlab-runner/commands/helpers"
	"gitlab.com/gitlab-org/gitlab-runner/common"
	"gitlab.com/gitlab-org/gitlab-runner/executors"
	"gitlab.com/gitlab-org/gitlab-runner/executors/docker"
	"gitlab.com/gitlab-org/gitlab-runner/executors/shell"
	"gitlab.com/gitlab-org/gitlab-runner/log"
	"gitlab.com/gitlab-org/gitlab-runner/network"

	_ "gitlab.com/gitlab-org/gitlab-runner/shells"
)

func main() {
	executable, err := os.Executable()
	if err != nil {
		logrus.Fatal(err)
	}
	providers := executors.NewProviderRegistry(map[string]common.ExecutorProvider{
		"shell":  shell.NewProvider(executable),
		"docker": docker.NewProvider(),
	})
	collector := network.NewAPIRequestsCollector()
	client := network.NewGitLabClient(
		network.WithAPIRequestsCollector(collector),
		network.WithCertificateDirectory(commands.GetDefaultCertificateDirectory()),
		network.WithExecutorProviderFunc(providers.GetByName),
	)
	app := cli.NewApp()
	app.Name = filepath.Base(os.Args[0])
	app.Version = common.AppVersion.ShortLine()
	app.Commands = []cli.Command{
		commands.NewRegisterCommand(client, providers),
		commands.NewRunCommand(client, collector, providers),
		// The scripts of jobs call these, and the docker executor the last.
		helpers.NewArtifactsDownloaderCommand(),
		helpers.NewArtifactsUploaderCommand(),
		helpers.NewCacheArchiverCommand(),
		helpers.NewCacheExtractorCommand(),
		helpers.NewCacheInitCommand(),
	}
	log.ConfigureLogging(app)
	if err := app.Run(os.Args); err != nil {
		logrus.Fatal(err)
	}
}
