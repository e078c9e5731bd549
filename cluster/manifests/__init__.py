"""What Kubernetes is told: a RayService of KubeRay's, and what belongs around it.

Plain functions from a configuration to resources, and one more step that makes a Helm chart of
them. Nothing is asked of any cluster. Stands on `application`, `models`, `ray_patches`,
`environment` and `config`. Start at `site.py`.
"""
