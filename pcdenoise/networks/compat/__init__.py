"""Published architectures, so that published weights can be used and trained again."""
