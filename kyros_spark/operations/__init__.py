"""What a user asks for beside the stages: import, export, promote, status, plan and others."""
