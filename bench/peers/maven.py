"""Jars from Maven Central, for the peers that are written in Java."""

import shutil
import tempfile
from pathlib import Path

from factorybench import paths
from factorybench.errors import Unavailable

from .base import fetch

# The other repositories that artifacts name are not needed: everything is on
# Maven Central.  Ours of the same id comes before theirs, and is switched off.
FOREIGN_REPOSITORIES = ("confluent", "gcs-maven-central-mirror")

REPOSITORY = """    <repository>
      <id>{}</id>
      <url>file:///nonexistent</url>
      <releases><enabled>false</enabled></releases>
      <snapshots><enabled>false</enabled></snapshots>
    </repository>"""

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>factorymon</groupId>
  <artifactId>peer</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <repositories>
{repositories}
  </repositories>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""

DEPENDENCY = """    <dependency>
      <groupId>{}</groupId>
      <artifactId>{}</artifactId>
      <version>{}</version>
      <exclusions>{exclusions}</exclusions>
    </dependency>"""

EXCLUSION = ("<exclusion><groupId>{}</groupId><artifactId>{}</artifactId>"
             "</exclusion>")


def jars(name, *coordinates, without=()):
    """A folder in the cache with the artifacts (group:artifact:version) and
    all that they need at run time, but for some (group:artifact)."""
    folder = paths.cache() / name
    if folder.exists():
        return folder
    if not shutil.which("mvn") or not shutil.which("java"):
        raise Unavailable("it needs Java and Maven")
    print(f"bench: fetching {name} (once)", flush=True)
    staged = Path(tempfile.mkdtemp(dir=paths.cache()))
    try:
        exclusions = "".join(EXCLUSION.format(*name.split(":"))
                             for name in without)
        dependencies = "\n".join(
            DEPENDENCY.format(*coordinate.split(":"), exclusions=exclusions)
            for coordinate in coordinates)
        (staged / "pom.xml").write_text(POM.format(
            dependencies=dependencies,
            repositories="\n".join(map(REPOSITORY.format,
                                       FOREIGN_REPOSITORIES))))
        fetch("Maven",
              ["mvn", "-B", "-q", "-f", staged / "pom.xml",
               f"-Dmaven.repo.local={staged}/repository",
               "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:"
               "copy-dependencies", "-DincludeScope=runtime",
               f"-DoutputDirectory={staged}/jars"])
        (staged / "jars").rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder
