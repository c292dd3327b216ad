//! The way to the guarded registry by ECR's name, for programs that are not containerd.

use crate::network::ADDRESS;
use crate::registry::{ECR, GUARDED};
use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where clear text is spoken with a name that has no port.
const PORT: u16 = 80;

/// Hands connections to the node's port 80 on to the registry, as long as it is there.
pub(super) struct Door(JoinHandle<()>);

impl Door {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind((ADDRESS, PORT))
            .await
            .with_context(|| format!("listen on {ADDRESS}:{PORT}"))?;
        Ok(Self(tokio::spawn(serve(listener))))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The file that makes the name known.
pub(super) fn hosts() -> String {
    format!("127.0.0.1 localhost\n{ADDRESS} {ECR}\n")
}

async fn serve(listener: TcpListener) {
    while let Ok((mut from, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut to) = TcpStream::connect(GUARDED).await {
                // A caller that goes away in the middle is not our failure; it tells its user.
                let _ = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}
