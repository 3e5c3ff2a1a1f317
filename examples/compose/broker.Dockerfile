# The broker as an image. Build it from the root of the checkout:
#   docker build --file examples/compose/broker.Dockerfile --tag stacks-broker .
FROM python:3.13-slim

# Signatures are verified by ssh-keygen.
RUN apt-get update && apt-get install --yes --no-install-recommends openssh-client && rm -r /var/lib/apt/lists/*
COPY . /source
# A user of its own, who can change nothing of the program. A new volume gets the owner and the mode of the folder.
RUN pip install --no-cache-dir '/source[broker]' && rm -r /source \
    && useradd --system --no-create-home broker && install --directory --mode 0700 --owner broker /broker
USER broker
VOLUME /broker
ENTRYPOINT ["stacks-pulumi", "broker"]
CMD ["serve", "/broker", "--strict"]
