# Works with Packer 1.6.6 and newer; required_plugins, which 1.6 rejects, is in plugins.pkr.hcl.

locals {
  scripts  = [for name in sort(fileset("${path.root}/scripts", "*.sh")) : "${path.root}/scripts/${name}"]
  programs = [for name in sort(fileset("${path.root}/scripts", "*.py")) : "${path.root}/scripts/${name}"]
  payload  = [for name in sort(fileset("${path.root}/payload", "*")) : "${path.root}/payload/${name}"]
}

source "amazon-ebs" "dask" {
  region                     = var.region
  custom_endpoint_ec2        = var.endpoint
  skip_credential_validation = var.endpoint != ""
  skip_region_validation     = var.endpoint != ""
  skip_metadata_api_check    = true

  source_ami                  = var.base_image
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  associate_public_ip_address = var.associate_public_ip_address
  security_group_id           = var.security_group_id
  user_data_file              = var.user_data_file
  shutdown_behavior           = "terminate"
  run_tags                    = var.run_tags
  run_volume_tags             = var.run_tags

  launch_block_device_mappings {
    device_name           = var.root_device
    volume_type           = "gp3"
    volume_size           = var.volume_size
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_interface        = var.ssh_interface
  ssh_timeout          = var.ssh_timeout

  ami_name      = var.image_name
  tags          = var.image_tags
  snapshot_tags = var.image_tags

  # newer.hcl is inserted here

  aws_polling {
    delay_seconds = var.polling_seconds
    max_attempts  = var.polling_attempts
  }
}

build {
  sources = ["source.amazon-ebs.dask"]

  # cloud-init's exit code 2 is success with warnings. The disk is checked because scp does not report a full one.
  provisioner "shell" {
    timeout = var.script_timeout
    inline = [
      "cloud-init status --wait >/dev/null || test $? -eq 2",
      "free=$(df --output=avail --block-size=M /var/tmp | tail -n 1 | tr -dc 0-9)",
      "test $free -ge ${var.free_megabytes} || { echo \"No space left on device: $free MB are free, an image needs ${var.free_megabytes} MB\" >&2; exit 1; }",
      "mkdir -p ${var.payload}",
    ]
  }

  provisioner "file" {
    timeout     = var.script_timeout
    sources     = concat(local.payload, local.programs)
    destination = "${var.payload}/"
  }

  provisioner "shell" {
    timeout          = var.script_timeout
    scripts          = local.scripts
    environment_vars = ["DASK_BAKE_PAYLOAD=${var.payload}"]
    execute_command  = "sudo -n env {{ .Vars }} bash -euo pipefail {{ .Path }}"
  }
}
