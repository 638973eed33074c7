package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at release: -ldflags "-X main.version=v1.2.3". Without, the
// module's version as go install knows it counts.
var version = ""

// buildVersion is what the program calls itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func versionLine() string {
	return fmt.Sprintf("tidings %s  %s %s/%s",
		buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  between(0, 0),
		RunE: func(*cobra.Command, []string) error {
			doc := map[string]string{"version": buildVersion(), "go": runtime.Version(),
				"os": runtime.GOOS, "arch": runtime.GOARCH}
			switch {
			case a.quiet:
				fmt.Fprintln(a.out, buildVersion())
			case a.output == "json":
				writeJSON(a.out, doc)
			case a.output == "jsonl":
				writeJSONLine(a.out, doc)
			case a.output == "tsv":
				fmt.Fprintf(a.out, "%s\t%s\t%s\t%s\n",
					buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			default:
				fmt.Fprintln(a.out, versionLine())
			}
			return nil
		},
	}
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "the version only"
	return cmd
}
