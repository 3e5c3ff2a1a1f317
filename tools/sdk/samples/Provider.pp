# A second account
config "customerKey" "string" {
}

resource "customer" "pulumi:providers:stacks" {
  apiKey = secret(customerKey)
}

resource "site" "stacks:index:Container" {
  template = "ghost"
  options {
    provider = customer
  }
}
